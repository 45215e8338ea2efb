# One managed secret, for rotate: it publishes generations at one KV path.
path "${publish_mount}/data/${publish_path}" {
  capabilities = ["create", "read", "update"]
}

# The version that a write must replace, and the generation's number beside the value.
path "${publish_mount}/metadata/${publish_path}" {
  capabilities = ["patch", "read"]
}

# Lets rotate ask which mount, and so which namespace, serves the source: Vault answers only who has some rule under the mount.
# The engines behind leased paths have no list operation here, so that this allows nothing else; above all not reading.
path "${source}" {
  capabilities = ["list"]
}
