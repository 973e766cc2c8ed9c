"""Files of formats whose libraries are not trusted with the owner: parsed in processes of their own, within limits.

`pool` hands a file to a child process (`worker`, `child`), which answers in JSON (`messages`); `limits` are the numbers.
"""
