"""A device daemon on loopback that speaks the adb wire protocol and plays a phone."""
