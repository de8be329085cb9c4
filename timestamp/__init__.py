"""The time-stamping authority (RFC 3161, RFC 5816).

``unit``         makes tokens; the signer uses it as a library, with a unit key of its own
``latest``       the time that no later token of a unit may go behind, over all its processes
``clock_watch``  tells the time, and refuses to while it may be off by more than tokens claim;
                 ``clock_sources`` asks chrony and the kernel
``request``      reads a stranger's request, and says which PKIFailureInfo it deserves when it cannot be served
``template``     the DER of a token, spliced from pieces made once a unit
``stamping``     the unit, for an event loop
``http``         the protocol of RFC 3161 §3.4; ``protocol`` bounds what comes before it
``worker``       a process that serves; ``workers`` starts and watches them, talking over ``channel``
``app``          the service's composition root
``client``       asks outside TSAs, and believes nothing of their answers that was not checked
"""
