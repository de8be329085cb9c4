"""The last safeguard: nothing is signed that was not accounted for, and nothing is released that was not read back. Shares no code with the writers.

Before signing, ``accounted.account_for`` takes a writer's update, the document and the plan. Every byte of the update must belong to an
object or to its cross-reference section, every object must be asked for by the plan, and what is written anew may differ from the document
only where the plan says so. The result, ``Accounted``, holds the one digest that may be signed. After signing, ``sealed.read_back`` compares
the sealed update with the accounted one, byte for byte but for the hole, and verifies the CMS in the hole.

    accounted ─┬▶ quick_account  the lean writer's one spelling, by the compiled core (crates/readback), which gets the plan from ``expected``
               └▶ account        any spelling: update, reader, syntax, continuation, pages, appearance, ambiguity, repair, metadata
    sealed ────┬▶ known_cms      what all seals of one key have in common is compared, the rest verified, by the compiled core
               └▶ cms            the whole, once for each key

The quick ways never refuse. What they do not recognise goes to the general way, whose word is final.

In the sandbox, before any of this, ``locate`` (our own reader) and ``pdfium`` (another's) look for the signature in what the full writer
made, since a damaged document may hide it. Why it is built like this: ADR 5, ADR 9, ADR 25 and ADR 31.
"""
