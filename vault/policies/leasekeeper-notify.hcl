# notify sends signed notices. It reads the signing secrets of subscriptions, and no other secret.

# Endpoint, filter, signing secrets; `update` records that an endpoint failed or recovered.
path "${state}/data/subscriptions/*" {
  capabilities = ["read", "update"]
}

path "${state}/metadata/subscriptions" {
  capabilities = ["list"]
}

# Each notice with its attempts; removed with its metadata once it is no longer needed for replay.
path "${state}/data/deliveries/*" {
  capabilities = ["create", "read", "update"]
}

path "${state}/metadata/deliveries/*" {
  capabilities = ["delete"]
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
