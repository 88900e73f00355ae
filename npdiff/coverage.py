"""temp"""
import re
def expression(row, call):
    return re.sub(r"\bf\(", lambda _: row.name + "(", call)
