"""Sessions: the work of a probe, kept on disk as it happens, and as one file to hand on.

`layout`: names and bounds · `journal`: what changed between two states · `collecting`: from a probe to its
state · `sources`: safe reading of a folder or a zip file · `reading`: from files to checked values ·
`folder`: writing a folder · `archive`: writing a zip file · `restoring`: from values to a probe · `keeper`:
the thread that writes · `twins`: the methods of a probe · `opening`: `open_probe`.
"""
