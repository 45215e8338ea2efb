# rotate makes new generations of managed secrets, publishes them and retires old ones. Where it publishes is allowed for each
# managed secret by a policy of its own, leasekeeper-managed-<name>.

# Specification and rotation state. They are created by people, not by rotate.
path "${state}/data/secrets/*" {
  capabilities = ["read", "update"]
}

# Values between create and promote. Each is written once, under its attempt's name, and removed with its metadata.
path "${state}/data/pending/*" {
  capabilities = ["create", "read"]
}

path "${state}/metadata/pending/*" {
  capabilities = ["delete", "list"]
}

# Which generation each consumer has adopted. Consumers write that themselves.
path "${state}/data/acks/*" {
  capabilities = ["read"]
}

# Values that a person has supplied. They are removed with their metadata once they are taken over.
path "${state}/data/supplied/*" {
  capabilities = ["read"]
}

path "${state}/metadata/supplied/*" {
  capabilities = ["delete", "list"]
}

# The book of rotations.
path "${state}/data/agenda/rotations/about" {
  capabilities = ["read"]
}

path "${state}/data/agenda/rotations/shards/*" {
  capabilities = ["create", "read", "update"]
}

# `update` is for a message whose first answer was lost: the second try is then refused by check-and-set, which says that the
# message is there. Without it the answer would be a plain denial.
path "${state}/data/agenda/rotations/inbox/*" {
  capabilities = ["create", "read", "update"]
}

path "${state}/metadata/agenda/rotations/inbox/*" {
  capabilities = ["delete", "list"]
}

# Puts the leases of generations under care, and takes them out again.
path "${state}/data/agenda/leases/about" {
  capabilities = ["read"]
}

path "${state}/data/agenda/leases/inbox/*" {
  capabilities = ["create", "update"]
}

# The token of an attempt: only by token roles of this system, each of which allows the source of one managed secret. Where
# ${namespace} is a real namespace the roles are in it; where it is only a prefix of mounts they are beside this policy.
path "auth/token/create/leasekeeper-*" {
  capabilities = ["update"]
}

# `sudo` is what Vault asks for a token in a child namespace; the role bounds its policies all the same.
path "${namespace}/auth/token/create/leasekeeper-*" {
  capabilities = ["sudo", "update"]
}

# Takes a recorded attempt's token out of its short life.
path "auth/token/renew-accessor" {
  capabilities = ["update"]
}

path "${namespace}/auth/token/renew-accessor" {
  capabilities = ["update"]
}

# Retires a generation: its lease, then its token.
path "sys/leases/revoke" {
  capabilities = ["update"]
}

path "${namespace}/sys/leases/revoke" {
  capabilities = ["update"]
}

path "auth/token/revoke-accessor" {
  capabilities = ["update"]
}

path "${namespace}/auth/token/revoke-accessor" {
  capabilities = ["update"]
}

# Whether the lease of the current generation is still there.
path "sys/leases/lookup" {
  capabilities = ["update"]
}

path "${namespace}/sys/leases/lookup" {
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
