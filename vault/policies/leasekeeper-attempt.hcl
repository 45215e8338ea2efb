# The token of one rotation attempt: it may have the source of its managed secret issue one credential, and nothing else.
path "${source}" {
  capabilities = ["read"]
}
