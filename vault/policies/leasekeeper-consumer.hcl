# Given to the role of one consumer, beside its own policies: it acknowledges the generations that it has adopted, in its own name and
# in no other. What it has acknowledged is read first, so that it never goes back to an earlier generation.
path "${state}/data/acks/+/${consumer}" {
  capabilities = ["create", "read", "update"]
}
