"""Backup and restore of one home directory in one file, a tar packed by gzip.

    backup.json    what the file is, and when it was made
    config.json    the configuration of the network
    home/…         accounts, tokens, graphs, rules and all else that JPH keeps; perhaps the history
    digests.json   the SHA-256 of each of these, which also tells that the file is complete

No Flask here but in `page`.
"""
