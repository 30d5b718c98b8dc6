"""The console's pages over real sockets."""
