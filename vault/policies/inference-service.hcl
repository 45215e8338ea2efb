# Inference service policy
path "lotabots/inference-service/*" {
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

# Allow access to NVIDIA API keys
path "lotabots/nvidia/*" {
  capabilities = ["read"]
}
