"""The page, `wakesmith ui`: reads run folders and starts the same commands as the terminal. Holds no training logic."""
