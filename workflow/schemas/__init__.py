"""What travels over REST, as pydantic models, and the way to and from the domain."""
