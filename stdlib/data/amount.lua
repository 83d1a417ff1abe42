--- Amounts of rows.
local check = require "gradus.base.check"

local AMOUNT = "expected a share below 1, a number of rows above 1, { share = … } or { rows = … }"

--- How many of `size` rows: from .3, 100, { share = .3 } or { rows = 100 }. 1 alone could be either.
---@param what string  whom errors blame
---@param amount number|{share: number?, rows: number?}
---@param size number
---@return number
return function(what, amount, size)
  local given = amount
  if type(amount) == "table" then
    given = check.options(what, amount, { share = check.number(0, 1), rows = check.int(1) })
    if (given.share == nil) == (given.rows == nil) then check.fail(what, "expected either { share = … } or { rows = … }") end
    if given.share == 0 then check.fail(what, "{ share = 0 } leaves no row; expected a share above 0") end
  elseif type(amount) ~= "number" or not (amount > 0) then check.fail(what, "%s; got %s", AMOUNT, check.describe(amount))
  elseif amount == 1 then check.fail(what, "1 may be one row or all of them; expected { rows = 1 } or { share = 1 }")
  elseif amount < 1 then given = { share = amount }
  elseif amount % 1 ~= 0 then check.fail(what, "%s; got %g", AMOUNT, amount)
  else given = { rows = amount } end
  local rows = given.rows or math.max(1, math.floor(given.share * size + .5))
  if rows > size then check.fail(what, "%d rows of %d", rows, size) end
  return rows
end
