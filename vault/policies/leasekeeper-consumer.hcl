# Given to the role of one consumer, beside its own policies. It acknowledges the generations that it has adopted, in its own name and
# in no other. What it has acknowledged is read first, so that it never goes back to an earlier generation.
path "${state}/data/acks/+/${consumer}" {
  capabilities = ["create", "read", "update"]
}

# Its own subscriptions, with their signing secrets; it hears only of what concerns itself.
path "${state}/data/subscriptions/${consumer}/*" {
  capabilities = ["create", "read", "update"]
}

path "${state}/metadata/subscriptions/${consumer}" {
  capabilities = ["list"]
}

path "${state}/metadata/subscriptions/${consumer}/*" {
  capabilities = ["delete"]
}
