# manage changes documents with its caller's token, so that operators' rights are Vault policies too (leasekeeper-operator is one to
# start from).

# Of its own it sends a worker to what was changed, for which it must know the shard: consumers that acknowledge have no right
# to the agenda.
path "${state}/data/agenda/rotations/about" {
  capabilities = ["read"]
}

# `update` is for a message whose first answer was lost: the second try is then refused by check-and-set, which says that the
# message is there. Without it the answer would be a plain denial.
path "${state}/data/agenda/rotations/inbox/*" {
  capabilities = ["create", "update"]
}

# Tests and replays of notices, and the log of attempts: a dispatch has notices of many subscribers, so none of them may read it. manage
# does so for whoever has read the subscription with a token of its own.
path "${state}/data/dispatches/*" {
  capabilities = ["create", "read", "update"]
}

path "${state}/metadata/dispatches/*" {
  capabilities = ["list"]
}

path "${state}/data/agenda/deliveries/about" {
  capabilities = ["read"]
}

# `update` is for a message whose first answer was lost, as above.
path "${state}/data/agenda/deliveries/inbox/*" {
  capabilities = ["create", "update"]
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
