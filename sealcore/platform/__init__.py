"""What a service stands on. A new service reads ``service`` first, then takes what it needs.

A process    ``service`` its life · ``config`` its settings · ``periodic`` what it does again and again in the background
Who calls    ``identity`` our own mTLS files · ``renewal`` keeps them in force · ``revocation`` whose certificates no longer count ·
             ``peer`` who is at the other end, and may they
Calls        ``rpc/`` gRPC · ``http``, ``http_client`` · ``outbox`` tells another service what happened, however long it is away
Data         ``db`` databases whose commits last · ``migrate`` their schema · ``durable`` files that are whole · ``ledger/`` kept and followed
Watching     ``log`` · ``metrics`` · ``tracing`` · ``observability`` the address that monitoring asks
Hostile data ``sandbox`` a process for one document

Nothing here knows a particular service.
"""
