"""Commands of `twin`, one module each with a click command called `command`.

They are imported one at a time, when used, and may import heavy packages at their own top.
"""
