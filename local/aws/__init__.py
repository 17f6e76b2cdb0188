"""A laptop's AWS: the runtime, the durable emulator and moto, put together as the template describes."""
