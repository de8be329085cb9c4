"""The signer's gRPC services, and the way between their messages and values. Protobuf goes no further than here, the front and the worker's channel."""
