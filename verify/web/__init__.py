"""What strangers reach over HTTP: pages for people, ``POST /v1/verify`` for programs. Pages are templates that escape by themselves."""
