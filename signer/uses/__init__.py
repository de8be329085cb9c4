"""Uses of approval tokens: each counted once, its sealed bytes kept until the client has them, then dropped."""
