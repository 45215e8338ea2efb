# For people who say what is managed and who is told. It reads no secret of a service, and no pending or supplied value; the signing
# secrets of subscriptions are in their documents.

# Managed secrets: specification and rotation state, never a value. No delete: a name that is used again would make old
# check-and-set values valid.
path "${state}/data/secrets/*" {
  capabilities = ["create", "read", "update"]
}

path "${state}/metadata/secrets" {
  capabilities = ["list"]
}

# Supplies the value of a managed secret of the kind `manual`. `update` is for one whose first answer was lost: the second try is then
# refused by check-and-set, which says that the value is there.
path "${state}/data/supplied/*" {
  capabilities = ["create", "update"]
}

# Everybody's subscriptions, one folder for each owner. The list of owners is the folder itself, with a slash.
path "${state}/data/subscriptions/*" {
  capabilities = ["create", "read", "update"]
}

path "${state}/metadata/subscriptions/*" {
  capabilities = ["delete", "list"]
}

# Tests, replays and the log of attempts by command.
path "${state}/data/dispatches/*" {
  capabilities = ["create", "read", "update"]
}

path "${state}/metadata/dispatches/*" {
  capabilities = ["list"]
}

path "${state}/data/agenda/deliveries/about" {
  capabilities = ["read"]
}

# `update` is for a message whose first answer was lost, as below.
path "${state}/data/agenda/deliveries/inbox/*" {
  capabilities = ["create", "update"]
}

# Sends a worker to a changed managed secret.
path "${state}/data/agenda/rotations/about" {
  capabilities = ["read"]
}

# `update` is for a message whose first answer was lost: the second try is then refused by check-and-set, which says that the
# message is there. Without it the answer would be a plain denial.
path "${state}/data/agenda/rotations/inbox/*" {
  capabilities = ["create", "update"]
}
