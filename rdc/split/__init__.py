"""Split computing: what stands between a weak device and the server's task network."""
