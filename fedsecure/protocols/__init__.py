"""Sans-IO protocols: parties that take bytes and give bytes. The caller owns sockets and clock."""
