# scan finds what is due. It reads the agenda and changes nothing; it can read no secret.

# How many shards each book has.
path "${state}/data/agenda/+/about" {
  capabilities = ["read"]
}

# The shards.
path "${state}/data/agenda/+/shards/*" {
  capabilities = ["read"]
}

# Which shards have messages that no worker has merged yet.
path "${state}/metadata/agenda/+/inbox" {
  capabilities = ["list"]
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
