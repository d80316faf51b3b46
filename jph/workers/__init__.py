"""Processes that run Python of other people: each started, used, and ended by the node.

`process` is such a child as the node sees it, `line` the child's own end; both speak JSON through
pipes. `functions` calls functions in a child that `confinement` has locked in.
"""
