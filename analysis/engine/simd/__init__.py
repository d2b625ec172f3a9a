"""The vector code that the steps are made of, as LLVM instructions."""
