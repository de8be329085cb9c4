"""A client of outside time-stamping authorities (RFC 3161 over HTTP, §3.4).

``settings``  what an operator says of a TSA: address, deadlines, secret, anchors
``question``  the request for one timestamp
``answer``    what is read out of the response, and the fields that must be those that were asked for
``signed``    the token's signature and its signer's certificate
``tsa``       one TSA: asks over HTTP, checks the whole answer, tells every failure apart by its code
``resting``   how long a TSA that failed is left alone
``source``    a TSA with its rest and its metrics, for batches of digests
``sources``   several in a given order: the first right answer counts; without any there is no timestamp
"""
