# One managed secret, for rotate: it publishes generations at one KV path. What its kind needs besides follows.
path "${publish_mount}/data/${publish_path}" {
  capabilities = ["create", "read", "update"]
}

# The version that a write must replace, and the generation's number beside the value.
path "${publish_mount}/metadata/${publish_path}" {
  capabilities = ["patch", "read"]
}
