"""A client of outside time-stamping authorities (RFC 3161 over HTTP, §3.4).

``settings``  how a TSA is configured: address, deadlines, secret, trust anchors
``question``  the request for one timestamp
``answer``    parses the response, and compares it with the request
``signed``    verifies the token's signature and its signer's certificate
``tsa``       one TSA: asks over HTTP and checks the whole answer; every failure has its own code
``resting``   a circuit breaker: how long a TSA that has failed is not asked
``source``    a TSA with its circuit breaker and its metrics, for batches of digests
``sources``   several TSAs in order: the first correct answer counts; without one there is no timestamp
"""
