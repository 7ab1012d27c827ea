"""What the user gave, measured: media files, speech, faces, motion and regions as plain numpy values."""
