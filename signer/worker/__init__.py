"""A worker of the signer: a process of its own with sessions on the token and connections to the database.

``process``   takes jobs from the line and answers
``jobs``      a job's form in a slot: what the front writes and a worker reads, and the answers
"""
