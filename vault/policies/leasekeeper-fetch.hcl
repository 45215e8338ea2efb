# fetch issues short-lived secrets. It has no right over any secret: it asks for them with its caller's token, so that every
# decision on access is Vault's. Of its own it only puts what was issued under care.

path "${state}/data/agenda/leases/about" {
  capabilities = ["read"]
}

# Whether a lease that is to be replaced, renewed or revoked is its caller's: it may be merged into its shard, or wait in the inbox.
path "${state}/data/agenda/leases/shards/*" {
  capabilities = ["read"]
}

# `update` is for a message whose first answer was lost: the second try is then refused by check-and-set, which says that the
# message is there. Without it the answer would be a plain denial.
path "${state}/data/agenda/leases/inbox/*" {
  capabilities = ["create", "read", "update"]
}

path "${state}/metadata/agenda/leases/inbox/*" {
  capabilities = ["list"]
}

# Ends a lease that could not be put under care, and one that its own caller wants ended: few services may revoke by themselves.
path "sys/leases/revoke" {
  capabilities = ["update"]
}

path "${namespace}/sys/leases/revoke" {
  capabilities = ["update"]
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
