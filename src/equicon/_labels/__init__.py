"""Labels that change when a picture is mirrored."""
