"""SFTP, by password or SSH key.

Unseen: a hidden temporary name in the target folder. Published by a rename. Only SFTP itself is used: many servers have
no shell. The server's key is always checked, and the jump host's as well.

    trust.py       who the server is, and who we are: fingerprints, private keys
    known_hosts.py what that file says of a server
    connect.py     the way there: sockets, SSH, the jump host, the login
    questions.py   logins by questions, in place of a password
    packets.py     what paramiko's layer of packets leaves out: a limit on stalled writes, and why a server hung up
    protocol.py    the requests of SFTP version 3
    transfer.py    writing and reading many blocks at once
    folder.py      what is in the remote folder
    connection.py  the contract of base.py
    errors.py      everybody's errors, as ours
"""

from courier.destinations.sftp.connect import SftpDestination

__all__ = ["SftpDestination"]
