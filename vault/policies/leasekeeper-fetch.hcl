# fetch issues short-lived secrets. It has no right over any secret: it asks for them with its caller's token, so that every
# decision on access is Vault's. Of its own it only puts what was issued under care.

path "${state}/data/agenda/leases/about" {
  capabilities = ["read"]
}

# Whether a lease that is to be replaced is its caller's.
path "${state}/data/agenda/leases/shards/*" {
  capabilities = ["read"]
}

# `update` is for a message whose first answer was lost: the second try is then refused by check-and-set, which says that the
# message is there. Without it the answer would be a plain denial. The names are unguessable, and fetch cannot list them.
path "${state}/data/agenda/leases/inbox/*" {
  capabilities = ["create", "update"]
}

# Ends a lease that could not be put under care.
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
