"""What keys the office has, in which token, why and for how long; and the program that makes exactly those."""
