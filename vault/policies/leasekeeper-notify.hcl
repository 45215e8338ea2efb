# notify sends signed notices. It reads the signing secrets of subscriptions, and no other secret.

# Endpoint, filter, signing secrets; `update` records that an endpoint failed or recovered. One folder for each owner.
path "${state}/data/subscriptions/*" {
  capabilities = ["read", "update"]
}

# Vault takes `+` for no name at all, too: the folder of the owners itself.
path "${state}/metadata/subscriptions/+" {
  capabilities = ["list"]
}

# Each event with its notices and their attempts; removed with its metadata once it is no longer needed for replay.
path "${state}/data/dispatches/*" {
  capabilities = ["create", "read", "update"]
}

path "${state}/metadata/dispatches/*" {
  capabilities = ["delete", "list"]
}

# Events that are gathered into one notice. `update`, so that an event that is there already is told by check-and-set.
path "${state}/data/batches/*" {
  capabilities = ["create", "read", "update"]
}

path "${state}/metadata/batches/*" {
  capabilities = ["delete", "list"]
}

# The book of deliveries.
path "${state}/data/agenda/deliveries/about" {
  capabilities = ["read"]
}

path "${state}/data/agenda/deliveries/shards/*" {
  capabilities = ["create", "read", "update"]
}

# `update` is for a message whose first answer was lost: the second try is then refused by check-and-set, which says that the
# message is there. Without it the answer would be a plain denial.
path "${state}/data/agenda/deliveries/inbox/*" {
  capabilities = ["create", "read", "update"]
}

path "${state}/metadata/agenda/deliveries/inbox/*" {
  capabilities = ["delete", "list"]
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
