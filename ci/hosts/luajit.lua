-- SPDX-License-Identifier: MIT
-- LuaJIT's os.execute.
local folder, leaf = os.getenv("HOST_FOLDER"), os.getenv("HOST_LEAF")
local right, wrong = 0, 0
local function run(status)
  if math.floor(os.execute(leaf .. " " .. status) / 256) == status then right = right + 1 else wrong = wrong + 1 end
end
local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end
run(0)
right = 0
io.open(folder .. "/ready", "w"):close()
for status = 100, 119 do run(status) end
while not exists(folder .. "/done") do run(3) end
print("own " .. right .. " right, " .. wrong .. " wrong")
