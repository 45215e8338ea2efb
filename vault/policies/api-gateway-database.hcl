# What the API Gateway does and its own policy does not allow: it reads database/creds/api-gateway, while api-gateway.hcl, which
# is kept word for word, names no path under database/. Given to the same role beside it.
path "${namespace}/database/creds/api-gateway" {
  capabilities = ["read"]
}

# Where VAULT_NAMESPACE is a real namespace, its leases are renewed there: sys/leases/renew in api-gateway.hcl is the root's.
path "${namespace}/sys/leases/renew" {
  capabilities = ["update"]
}
