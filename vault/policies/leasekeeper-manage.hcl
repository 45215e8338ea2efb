# manage changes documents with its caller's token, so that operators' rights are Vault policies too (leasekeeper-operator is one to
# start from).

# Of its own it only sends a worker to what was changed, for which it must know the shard.
path "${state}/data/agenda/rotations/about" {
  capabilities = ["read"]
}

# Its own token: whether it is still good, to go on, and to end it at shutdown.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
