# embed(TARGET OUT_NAME ROOT FILES…): puts files into the binary, byte for byte.
#
# Makes an assembler file with one .incbin per file and a table `gradus_embedded_OUT_NAME` of
# {const char* name; const char* begin; const char* end}, closed by a null name. Names are relative to ROOT.
function(embed target out_name root)
  set(data "")
  set(table "")
  set(i 0)
  foreach(file IN LISTS ARGN)
    file(RELATIVE_PATH name "${root}" "${file}")
    string(APPEND data ".Lname${i}: .asciz \"${name}\"\n.balign 16\n.Lbegin${i}: .incbin \"${file}\"\n.Lend${i}: .byte 0\n")
    string(APPEND table "  .quad .Lname${i}, .Lbegin${i}, .Lend${i}\n")
    math(EXPR i "${i} + 1")
  endforeach()
  set(source "${CMAKE_CURRENT_BINARY_DIR}/embedded_${out_name}.S")
  file(CONFIGURE OUTPUT "${source}" CONTENT
".section .rodata
${data}
.section .data.rel.ro,\"aw\"
.balign 8
.globl gradus_embedded_${out_name}
gradus_embedded_${out_name}:
${table}  .quad 0, 0, 0
.section .note.GNU-stack,\"\",@progbits
" @ONLY)
  set_source_files_properties("${source}" PROPERTIES OBJECT_DEPENDS "${ARGN}")
  target_sources(${target} PRIVATE "${source}")
endfunction()
