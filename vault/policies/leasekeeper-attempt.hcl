# The token of one rotation attempt: it may make what the kind of its managed secret makes, and nothing else. setup writes the rules of
# that kind below.
