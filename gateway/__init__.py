"""The HTTP API: commands in, queries and streams out. The only room that knows HTTP; imports every room below it.

Start reading at `app.py` (what is wired to what), then `call.py` (what every request passes), then any `*_routes.py`.
"""
