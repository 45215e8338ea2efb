# renew keeps leases and their parent tokens alive. It can read no secret and make no token.

# The shards of the book of leases: the first write of a shard creates it.
path "${state}/data/agenda/leases/shards/*" {
  capabilities = ["create", "read", "update"]
}

# Messages are read, merged into their shard, and removed.
path "${state}/data/agenda/leases/inbox/*" {
  capabilities = ["read"]
}

path "${state}/metadata/agenda/leases/inbox/*" {
  capabilities = ["delete", "list"]
}

# Leases by their ids. Where ${namespace} is a real namespace it has endpoints of its own; where it is only a prefix of mounts
# its leases belong to the first.
path "sys/leases/renew" {
  capabilities = ["update"]
}

path "${namespace}/sys/leases/renew" {
  capabilities = ["update"]
}

# Ends a lease that its holder has replaced, once the grace is over.
path "sys/leases/revoke" {
  capabilities = ["update"]
}

path "${namespace}/sys/leases/revoke" {
  capabilities = ["update"]
}

# Asked before an old message is believed.
path "sys/leases/lookup" {
  capabilities = ["update"]
}

path "${namespace}/sys/leases/lookup" {
  capabilities = ["update"]
}

# Parent tokens by their accessors.
path "auth/token/renew-accessor" {
  capabilities = ["update"]
}

path "${namespace}/auth/token/renew-accessor" {
  capabilities = ["update"]
}

# Whether a wrapping token has been opened; those are all made beside this policy.
path "auth/token/lookup-accessor" {
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
