--- The entries of one key of run:cached: a book (JSON) in the store's cache folder that says of each file of results what
--- was read while it was made. Whoever adds to it holds the book's lock; a book is replaced as a whole.
local host = require "gradus.host"
local files = require "gradus.base.files"

local MOST = 64 -- entries of one key, of which the oldest go: a function that reads a file of changing content has no end of them

---@class Book
---@field entries table[]   { file =, reads = Read[], library = }, the newest last
local Book = {}
Book.__index = Book

local entries = {}

--- The book of a task { run, name, key } in a folder, which is made.
---@param folder string
---@param task table
---@return Book
function entries.open(folder, task)
  host.mkdirs(folder)
  return setmetatable({ folder = folder, task = task, stem = ("%s-%s"):format(task.name, task.key:sub(1, 32)), entries = {} }, Book)
end

--- Waits for the lock of the whole book, or of what identifies one of its entries.
---@param of? string
function Book:lock(of)
  return self.task.run:lock(("%s/%s%s.lock"):format(self.folder, self.stem, of and "-" .. host.sha256(of):sub(1, 16) or ""), self.task.name)
end

local function shown_as_tables(library)
  for _, one in pairs(library) do
    if not one.functions[1] then one.functions = {} end  -- an empty list is {} in JSON
  end
  return library
end

--- Reads the entries; a book that is not whole has none.
function Book:read()
  self.entries = {}
  local text = files.read(("%s/%s.json"):format(self.folder, self.stem))
  local ok, book = pcall(host.json_decode, text or "")
  if not ok or type(book) ~= "table" or type(book.entries) ~= "table" then return end
  for _, one in ipairs(book.entries) do
    one.library = shown_as_tables(one.library)
    self.entries[#self.entries + 1] = one
  end
end

--- The file of an entry's results.
function Book:path(entry) return self.folder .. "/" .. entry.file end

--- A path for new results.
function Book:new_path() return ("%s/%s-%s.safetensors"):format(self.folder, self.stem, host.random_hex(4)) end

--- Adds an entry, whose results lie at `path`, to what other processes have written meanwhile.
---@param entry table  { reads, library }
---@param path string
function Book:add(entry, path)
  local lock = self:lock "writing"
  self:read()
  for i = #self.entries, 1, -1 do  -- gc has taken it
    if not host.exists(self:path(self.entries[i])) then table.remove(self.entries, i) end
  end
  entry.file = path:match "[^/]*$"
  table.insert(self.entries, entry)
  while #self.entries > MOST do os.remove(self:path(table.remove(self.entries, 1))) end
  local to = ("%s/%s.json"):format(self.folder, self.stem)
  local ok, why = files.replace(to, host.json_encode { entries = self.entries })
  lock:unlock()
  if not ok then host.fail(("cached: %s: cannot write; got: %s"):format(to, why), 74) end
end

return entries
