"""The time-stamping authority (RFC 3161, RFC 5816).

``unit``         issues tokens; the signer uses it as a library, with its own unit key
``latest``       the latest genTime of a unit, shared by all its processes, so that it never decreases
``clock_watch``  tells the time, unless the clock may be off by more than tokens claim; ``clock_sources`` asks chrony and the kernel
``request``      parses requests; one that cannot be served is answered with the right PKIFailureInfo
``template``     the DER of a token, assembled from pieces that are encoded once for each unit
``stamping``     hands requests from the event loop to threads that call the unit
``http``         the HTTP protocol of RFC 3161 §3.4; ``protocol`` limits the size and time of HTTP headers
``worker``       a process that answers requests; ``workers`` starts and supervises them, over ``channel``
``app``          the service's composition root
``client``       asks outside TSAs, and trusts nothing in their answers before it is checked
"""
