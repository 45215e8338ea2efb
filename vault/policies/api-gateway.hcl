# API Gateway service policy
path "lotabots/api-gateway/*" {
  capabilities = ["read"]
}

path "lotabots/shared/*" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}

path "sys/leases/renew" {
  capabilities = ["update"]
}

path "sys/renew/*" {
  capabilities = ["update"]
}
